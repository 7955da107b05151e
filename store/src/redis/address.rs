//! Reads `redis://[user[:password]@]host[:port][/database]`, kindly: a password may hold any character, encoded or not.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult};

use crate::Error;

const DEFAULT_PORT: u16 = 6379;

/// A server's address and credentials.
pub(super) struct Address {
    host: String,
    port: u16,
    database: i64,
    user: Option<String>,
    password: Option<String>,
}

impl Address {
    /// Parses the URL; `password`, taken as it is, wins over the URL's.
    /// # Errors
    /// [`Error::Config`], without repeating the URL.
    pub(super) fn parse(url: &str, password: Option<&str>) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Config { reason: reason.to_owned() };
        let rest = url.strip_prefix("redis://").ok_or_else(|| refuse("it does not begin with redis://"))?;
        // the last @ ends the credentials: a host has none, a password may
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (user, url_password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, ""))) {
            None => (None, None),
            Some((user, password)) => (non_empty(user), non_empty(password)),
        };
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| refuse("what follows its / is no database number"))?,
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| refuse("its port is not a number up to 65535"))?)
            }
            _ => (authority, DEFAULT_PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(refuse("it names no host; write it like redis://127.0.0.1:6379"));
        }
        let password = password.map(str::to_owned).or(url_password);
        Ok(Self { host: host.to_owned(), port, database, user, password })
    }

    /// Host and port, for messages.
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn connection_info(&self) -> RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default().set_db(self.database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let address = ConnectionAddr::Tcp(self.host.clone(), self.port);
        Ok(address.into_connection_info()?.set_redis_settings(settings))
    }
}

fn non_empty(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(percent_decoded(text)) }
}

/// Decodes `%40` and the like; a `%` that begins no such code stands for itself, and so does a code that would make the text
/// something else than UTF-8.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match code
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, u16, i64, Option<String>, Option<String>) {
        let address = Address::parse(url, None).unwrap();
        (address.host, address.port, address.database, address.user, address.password)
    }

    #[test]
    fn a_password_may_hold_anything_encoded_or_not() {
        let expected = Some("p@s#s%w$rd/x".to_owned());
        assert_eq!(parts("redis://:p@s#s%w$rd/x@h:1/2"), ("h".to_owned(), 1, 2, None, expected.clone()));
        assert_eq!(parts("redis://u:p%40s%23s%25w%24rd%2Fx@h").4, expected);
        assert_eq!(parts("redis://:a%+1b@h").3.or(parts("redis://:a%+1b@h").4).as_deref(), Some("a%+1b"));
        assert_eq!(Address::parse("redis://:a@h", Some("%41")).unwrap().password.as_deref(), Some("%41"));
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(parts("redis://localhost"), ("localhost".to_owned(), 6379, 0, None, None));
        assert_eq!(parts("redis://[::1]:7").0, "::1");
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for url in ["http://s3cret@x", "redis://:s3cret@", "redis://:s3cret@h:99999", "redis://:s3cret@h/x"] {
            let words = Address::parse(url, None).err().unwrap().to_string();
            assert!(!words.contains("s3cret") && words.starts_with("store.url cannot be used"), "{words}");
        }
    }
}
