//! What is judged: the project's own examples, cut or repeated to a length.

use std::path::Path;

/// An example's text of about so many bytes.
pub(crate) fn text(example: &str, bytes: usize) -> Vec<u8> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/items");
    let text = std::fs::read_to_string(examples.join(example)).expect("an example");
    let mut item = String::new();
    while item.len() < bytes {
        item.push_str(&text);
    }
    item.truncate(item.floor_char_boundary(bytes));
    item.into_bytes()
}
