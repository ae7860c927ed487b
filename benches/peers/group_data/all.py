import os

ssh_user = "ops"
ssh_config_file = os.environ["PEER_CONFIG"]
ssh_key = os.path.join(os.path.dirname(ssh_config_file), "key")
ssh_known_hosts_file = os.path.join(os.path.dirname(ssh_config_file), "known_hosts")
