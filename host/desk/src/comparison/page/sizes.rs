//! A broad chart is drawn twice, for broad screens and for narrow ones, where the first would be too small to read; the style sheet shows
//! the one that fits.

use crate::report::Frame;
use maud::{Markup, html};

/// For which screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Broad,
    Narrow,
}

impl Size {
    /// The frame of a chart over steps or time.
    pub fn frame(self) -> Frame {
        match self {
            Self::Broad => Frame { width: 1100.0, height: 420.0, left: 62.0, right: 20.0, top: 12.0, bottom: 38.0 },
            Self::Narrow => Frame { width: 400.0, height: 300.0, left: 54.0, right: 12.0, top: 12.0, bottom: 38.0 },
        }
    }
}

/// A picture in both sizes. `name` begins the names of its parts, `title` and `text` say what it shows to those who don't see it.
pub fn both(
    name: &str,
    title: &str,
    text: &str,
    frame: impl Fn(Size) -> Frame,
    drawn: impl Fn(Size) -> Markup,
) -> Markup {
    html! {
        @for (size, class) in [(Size::Broad, ""), (Size::Narrow, "narrow")] {
            @let (of_title, of_text) = (format!("{name}-title{class}"), format!("{name}-text{class}"));
            svg class=(format!("{name} {class}")) viewBox=(frame(size).view_box()) role="img" aria-labelledby=(format!("{of_title} {of_text}")) {
                title id=(of_title) { (title) }
                desc id=(of_text) { (text) }
                (drawn(size))
            }
        }
    }
}
