//! A small client of one etcd member, by the JSON gateway that every 3.x release has under one of three
//! prefixes, or by API 2 ([`Client::put_v2`] and others).

mod v2;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::secret::Secret;

/// The gateway's prefixes: `/v3` since 3.4, `/v3beta` since 3.3, `/v3alpha` before.
/// <https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/>
const PREFIXES: [&str; 3] = ["v3", "v3beta", "v3alpha"];

/// How many keys one answer may hold: far below the 2 MiB at which servers may refuse.
const PAGE: u32 = 2000;

/// What a member wants before it lets a client in.
#[derive(Clone, Default)]
pub struct Access {
    /// The authority to trust and the certificate to show.
    pub tls: Option<TlsConfig>,
    /// etcd's own user and the password.
    pub login: Option<(String, Secret)>,
}

impl Access {
    /// TLS with that authority and that certificate, all as PEM.
    ///
    /// # Errors
    /// When one of them is no PEM.
    pub fn tls_of(ca: &str, cert: &str, key: &str) -> Result<TlsConfig, String> {
        let read = |pem: &str| Certificate::from_pem(pem.as_bytes()).map_err(|e| e.to_string());
        let key = PrivateKey::from_pem(key.as_bytes()).map_err(|e| e.to_string())?;
        let shown = ClientCert::new_with_certs(&[read(cert)?], key);
        let config = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[read(ca)?]))
            .client_cert(Some(shown));
        Ok(config.build())
    }
}

/// A client of one member. Failures are told in words.
pub struct Client {
    endpoint: String,
    agent: Agent,
    prefix: AtomicUsize,
    login: Option<(String, Secret)>,
    token: Mutex<Option<String>>,
}

impl Client {
    /// A client that gives up an exchange after `patience`.
    pub fn new(endpoint: &str, access: &Access, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(patience))
            .tls_config(access.tls.clone().unwrap_or_default())
            .build();
        Self {
            endpoint: endpoint.to_owned(),
            agent: config.into(),
            prefix: AtomicUsize::new(0),
            login: access.login.clone(),
            token: Mutex::new(None),
        }
    }

    /// The member's endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Writes a key; `Ok` is an acknowledged write.
    ///
    /// # Errors
    /// In the member's or the network's words.
    pub fn put(&self, key: &str, value: &str) -> Result<(), String> {
        let body = json!({"key": base64(key.as_bytes()), "value": base64(value.as_bytes())});
        let answer = self.call("kv/put", &body)?;
        // An answer without a header is an error that the gateway gave with status 200.
        answer.get("header").map(drop).ok_or(answer.to_string())
    }

    /// Reads all keys that begin with `prefix`, by linearizable reads.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn read(&self, prefix: &str) -> Result<BTreeMap<String, String>, String> {
        let end = base64(&after(prefix.as_bytes()));
        let mut found = BTreeMap::new();
        let mut from = prefix.as_bytes().to_vec();
        loop {
            let body = json!({"key": base64(&from), "range_end": end, "limit": PAGE.to_string()});
            let answer = self.call("kv/range", &body)?;
            answer.get("header").ok_or(answer.to_string())?;
            let page = answer.get("kvs").and_then(Value::as_array);
            let mut last = None;
            for pair in page.into_iter().flatten() {
                let field = |name| decoded(pair.get(name));
                let key = field("key")?;
                last = Some(key.clone());
                found.insert(key, field("value")?);
            }
            match last {
                Some(key) if answer.get("more").is_some_and(|more| more == true) => {
                    from = key.into_bytes();
                    from.push(0);
                }
                _ => return Ok(found),
            }
        }
    }

    /// Does a linearizable read of a key that is not there: succeeds only with a quorum.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn read_nothing(&self) -> Result<(), String> {
        let answer = self.call("kv/range", &json!({"key": base64(b"\0nothing")}))?;
        answer.get("header").map(drop).ok_or(answer.to_string())
    }

    /// Makes root and, if that is another one, its own user, both with its password and all rights, and switches
    /// authentication on.
    ///
    /// # Errors
    /// As [`Client::put`], or when it has no user.
    pub fn enable_auth(&self) -> Result<(), String> {
        let (user, password) = self.login.as_ref().ok_or("there is no user")?;
        self.post("auth/role/add", &json!({"name": "root"}), None)?;
        let mut names = vec!["root"];
        names.extend((user != "root").then_some(user.as_str()));
        for name in names {
            let new = json!({"name": name, "password": password.reveal()});
            self.post("auth/user/add", &new, None)?;
            let grant = json!({"user": name, "role": "root"});
            self.post("auth/user/grant", &grant, None)?;
        }
        self.post("auth/enable", &json!({}), None).map(drop)
    }

    /// Calls as its user, if it has one. A member forgets its tokens when it restarts; then it gives another.
    fn call(&self, method: &str, body: &Value) -> Result<Value, String> {
        let Some((user, password)) = &self.login else {
            return self.post(method, body, None);
        };
        let known = self.token().clone();
        if let Some(token) = known {
            match self.post(method, body, Some(&token)) {
                Err(error) if error.contains("auth") => {}
                answer => return answer,
            }
        }
        let login = json!({"name": user, "password": password.reveal()});
        let answer = self.post("auth/authenticate", &login, None)?;
        let token = answer.get("token").and_then(Value::as_str);
        let token = token.ok_or("the member gave no token")?.to_owned();
        *self.token() = Some(token.clone());
        self.post(method, body, Some(&token))
    }

    fn token(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        let locked = self.token.lock();
        locked.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Posts to the gateway, trying the next prefix when the release does not know this one.
    fn post(&self, method: &str, body: &Value, token: Option<&str>) -> Result<Value, String> {
        let body = body.to_string();
        for _ in PREFIXES {
            let index = self.prefix.load(Ordering::Relaxed);
            let prefix = PREFIXES[index % PREFIXES.len()];
            let url = format!("{}/{prefix}/{method}", self.endpoint);
            let mut request = self.agent.post(url);
            if let Some(token) = token {
                request = request.header("Authorization", token);
            }
            let mut answer = request.send(&body).map_err(|e| e.to_string())?;
            let text = answer
                .body_mut()
                .with_config()
                .limit(64 << 20)
                .read_to_string();
            let text = text.map_err(|e| e.to_string())?;
            match answer.status().as_u16() {
                200 => return parse(&text),
                404 => self.prefix.store(index + 1, Ordering::Relaxed),
                status => return Err(format!("status {status}: {}", text.trim())),
            }
        }
        Err("no gateway of etcd 3 answers".to_owned())
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text:?}"))
}

/// The first key after all that begin with `prefix`, as etcd wants a range's end.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let padded = [0, 1, 2].map(|i| u32::from(chunk.get(i).copied().unwrap_or(0)));
        let bits = padded[0] << 16 | padded[1] << 8 | padded[2];
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = ALPHABET[(bits >> shift & 63) as usize];
            text.push(if place > chunk.len() {
                '='
            } else {
                letter.into()
            });
        }
    }
    text
}

fn decoded(value: Option<&Value>) -> Result<String, String> {
    let text = value
        .and_then(Value::as_str)
        .ok_or("an answer without a key")?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut count = 0;
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let index = ALPHABET.iter().position(|known| *known == letter);
        let index = index.ok_or_else(|| format!("`{text}` is not base64"))?;
        bits = bits << 6 | u32::try_from(index).unwrap_or(0);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_and_read_back() {
        let known = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (plain, coded) in known {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(decoded(Some(&json!(coded))).unwrap(), plain);
        }
    }

    #[test]
    fn a_range_ends_behind_the_last_key_of_its_prefix() {
        assert_eq!(after(b"a/"), b"a0");
        assert_eq!(after(&[1, 0xff]), [2]);
        assert_eq!(after(&[0xff]), [0]);
    }
}
