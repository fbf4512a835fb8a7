//! Keys whose signature over an item's body counts as proof of who stands behind it.
//!
//! They travel from the configuration to a worker as its arguments behind the sandbox's plan.

use std::fmt;
use std::str::FromStr;

/// The public half of an Ed25519 key, in hexadecimal where people write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrustedKey(pub [u8; 32]);

/// The text is not a key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an Ed25519 public key: expected 64 hexadecimal digits")]
pub struct ParseTrustedKeyError(String);

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TrustedKey {
    type Err = ParseTrustedKeyError;

    fn from_str(text: &str) -> Result<TrustedKey, ParseTrustedKeyError> {
        let wrong = || ParseTrustedKeyError(text.to_owned());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(wrong()) };
        let mut key = [0; 32];
        if pairs.len() != key.len() {
            return Err(wrong());
        }
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Ok(TrustedKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_command_line() {
        let key = TrustedKey(std::array::from_fn(|n| 7 * n as u8));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
    }

    #[test]
    fn what_is_no_key_is_named() {
        for wrong in ["", "abc", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)]
        {
            let error = wrong.parse::<TrustedKey>().expect_err("no key");
            assert_eq!(error, ParseTrustedKeyError(wrong.to_owned()));
        }
    }
}
