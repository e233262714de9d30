//! Texts as a page has them: sentences, words that may break, bytes in letters.

use crate::record::without_home;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page. `policy` says what a browser may fetch and run, whatever stands on the page.
pub fn document(title: &str, policy: &str, style: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · infomax" }
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    }
}

/// A message as a sentence.
pub fn sentence(message: &str) -> String {
    let message = without_home(message);
    let mut rest = message.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// A message whose values stand in backticks.
pub fn prose(message: &str) -> Markup {
    html! {
        @for (index, part) in message.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A long word with places where a line may end.
pub fn breakable(text: &str) -> Markup {
    let mut pieces = text.split_inclusive(['.', '/', '_', '=']).peekable();
    html! { @while let Some(piece) = pieces.next() { (piece) @if pieces.peek().is_some() { wbr; } } }
}

/// RFC 4648, section 4.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group.iter().enumerate().fold(0_u32, |n, (i, &byte)| n | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
