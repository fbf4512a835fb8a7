//! What an item claims and can be checked: who signed it.

use std::fmt::Write as _;

use bytes::Bytes;
use cynic_proto::client::{Answer, Outcome};
use cynic_proto::trust::TrustedKey;
use cynic_tests::daemon::{Daemon, Home};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::request;

const BODY: &str =
    "Release 1.4 is out. It mends the leak that was reported on Monday, and nothing else.";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("into a string");
        text
    })
}

/// The codes of the evidence of an item with this body and one more field.
async fn codes(daemon: &Daemon, field: &str, value: &str) -> Vec<String> {
    let item = serde_json::json!({"type": "text", "content": BODY, field: value}).to_string();
    let client = daemon.client().await;
    let outcome = client.judge(request(), Bytes::from(item)).await.expect("an answer");
    let Outcome::Judged(answer) = outcome else { panic!("{outcome:?}") };
    let Answer { details, .. } = *answer;
    details.evidence.into_iter().map(|evidence| evidence.code).collect()
}

fn has(codes: &[String], code: &str) -> bool {
    codes.iter().any(|found| found == code)
}

#[tokio::test]
async fn a_signature_is_checked_where_a_key_is_trusted() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let other = SigningKey::from_bytes(&[8; 32]);
    let trusted = TrustedKey(key.verifying_key().to_bytes());
    let home = Home::new(&format!("[judge]\ntrusted_keys = [\"{trusted}\"]\n"));
    let daemon = home.start().await;
    let signature = |key: &SigningKey, text: &str| hex(&key.sign(text.as_bytes()).to_bytes());
    let right = codes(&daemon, "signature", &signature(&key, BODY)).await;
    assert!(has(&right, "signature.right"), "{right:?}");
    for wrong in [signature(&other, BODY), signature(&key, "another text"), "nonsense".to_owned()] {
        let codes = codes(&daemon, "signature", &wrong).await;
        assert!(has(&codes, "signature.wrong"), "{wrong}: {codes:?}");
    }
    // Nobody trusts anybody: nothing is said of any signature.
    let home = Home::new("");
    let daemon = home.start().await;
    let none = codes(&daemon, "signature", &signature(&key, BODY)).await;
    assert!(!none.iter().any(|code| code.starts_with("signature.")), "{none:?}");
    home.configure(&format!("[judge]\ntrusted_keys = [\"{trusted}\"]\n"));
    let reloaded = daemon.cynicctl(["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    let right = codes(&daemon, "signature", &signature(&key, BODY)).await;
    assert!(has(&right, "signature.right"), "a reload puts keys in force: {right:?}");
}
