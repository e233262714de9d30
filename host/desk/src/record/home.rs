//! Files that are shown to others name no home folder.

use std::env;

/// A text with `~` for the home folder of whoever runs this.
pub fn without_home(text: &str) -> String {
    match env::var("HOME") {
        Ok(home) => replaced(text, home.trim_end_matches('/')),
        Err(_) => text.to_owned(),
    }
}

fn replaced(text: &str, home: &str) -> String {
    if home.len() < 2 {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(home) {
        let after = &rest[at + home.len()..];
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_part = after.starts_with(goes_on) || rest[..at].ends_with(|c| goes_on(c) || c == '/');
        out.push_str(&rest[..at]);
        out.push_str(if is_part { home } else { "~" });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn the_home_folder_is_left_out_and_its_namesakes_are_not() {
        assert_eq!(replaced("/home/a/x.toml:3", "/home/a"), "~/x.toml:3");
        assert_eq!(replaced("can't read `/home/a`: /home/a/b", "/home/a"), "can't read `~`: ~/b");
        for other in ["/home/ab/x", "/data/home/a/x", "/home/a-b"] {
            assert_eq!(replaced(other, "/home/a"), other);
        }
        assert_eq!(replaced("/x", "/"), "/x");
    }
}
