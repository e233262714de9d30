//! What a page's address asks for.

use crate::report::{Across, Drawing, Scale};
use hyper::Uri;

/// The fields after `?`, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    fields: Vec<(String, String)>,
}

impl Query {
    /// Reads an address.
    pub fn of(uri: &Uri) -> Self {
        let fields = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self { fields: fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect() }
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether a field says yes.
    pub fn has(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    /// How charts are drawn.
    pub fn drawing(&self) -> Drawing {
        let scale = match self.get("scale") {
            Some("log") => Scale::Logarithmic,
            Some("linear") => Scale::Linear,
            _ => Scale::Fitting,
        };
        let across = if self.get("over") == Some("time") { Across::Time } else { Across::Steps };
        // As the slider shows it: none where nobody asked for it.
        let smoothing = self.get("smooth").and_then(|text| text.parse::<f64>().ok()).filter(|share| share.is_finite());
        Drawing { scale, smoothing: Some(smoothing.unwrap_or(0.0).clamp(0.0, 0.999)), has_legends: true, across }
    }

    /// The address without this field.
    pub fn without(&self, name: &str) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        self.fields.iter().filter(|(own, _)| own != name).for_each(|(own, value)| {
            text.append_pair(own, value);
        });
        text.finish()
    }
}

/// An address with one field.
pub fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    fields.iter().for_each(|(name, value)| {
        text.append_pair(name, value);
    });
    format!("{path}?{}", text.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_whatever_stands_there() {
        let uri: Uri = "/run?name=a%2Fb+c%26&run=1&run=2&scale=log&smooth=7&over=time".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!((query.get("name"), query.all("run").count(), query.get("none")), (Some("a/b c&"), 2, None));
        assert_eq!(
            query.drawing(),
            Drawing { scale: Scale::Logarithmic, smoothing: Some(0.999), across: Across::Time, ..Drawing::default() }
        );
        assert_eq!(query.without("name"), "run=1&run=2&scale=log&smooth=7&over=time");
        let again: Uri = link("/run", &[("name", "a/b c&\u{e9}")]).parse().unwrap();
        assert_eq!(Query::of(&again).get("name"), Some("a/b c&\u{e9}"));
        assert_eq!(
            Query::of(&"/?smooth=nan&scale=%ff".parse().unwrap()).drawing(),
            Drawing { smoothing: Some(0.0), ..Drawing::default() }
        );
    }
}
