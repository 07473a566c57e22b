//! Requests as lines of JSON, answers as lines of JSON (tests/support/clients/driver.py).
use serde_json::{json, Value};
use std::future::Future;
use std::io::{stdin, stdout, BufRead, Write};

pub type Answer = Result<Value, Box<dyn std::error::Error>>;

/// One request.
pub struct Asked(Value);

impl Asked {
    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    pub fn range(&self) -> Option<(u64, u64)> {
        let bounds = self.0["range"].as_array()?;
        Some((bounds[0].as_u64()?, bounds[1].as_u64()?))
    }
}

/// Answers all lines of the standard input, one after the other.
pub async fn serve<F: Future<Output = Answer>>(answer: impl Fn(Asked) -> F) {
    for line in stdin().lock().lines() {
        let asked = Asked(serde_json::from_str(&line.unwrap()).unwrap());
        let found = match answer(asked).await {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": format!("{error:?}") }),
        };
        println!("{found}");
        stdout().flush().unwrap();
    }
}

/// Percent-encodes all but what no URL has to encode.
pub fn encoded(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    key.bytes()
        .map(|byte| if is_plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
