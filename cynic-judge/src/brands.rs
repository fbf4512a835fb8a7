//! Names of companies that impostors take, wherever they put them.

/// Taken in hosts and in senders' names alike.
const BRANDS: [&str; 15] = [
    "paypal",
    "amazon",
    "apple",
    "microsoft",
    "netflix",
    "google",
    "facebook",
    "instagram",
    "whatsapp",
    "dhl",
    "fedex",
    "ups",
    "usps",
    "ebay",
    "icloud",
];

/// Whether a word, in lower case, is such a name.
pub(crate) fn is_one(word: &str) -> bool {
    BRANDS.contains(&word)
}
