import os

ssh_user = "ops"
ssh_config_file = os.environ["PEER_CONFIG"]
ssh_key = os.environ["PEER_KEY"]
ssh_known_hosts_file = os.environ["PEER_KNOWN"]
