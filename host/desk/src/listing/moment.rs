//! Dates and times as a person writes them, in UTC as tables have them: each stands for as long as it is told precisely.

use chrono::{NaiveDate, NaiveDateTime};

/// The first and the last second of a day (`2026-11-01`), a minute (`2026-11-01T12:00`, `2026-11-01 12:00Z`) or a second, since 1970; none
/// where it is no such text.
pub fn span(text: &str) -> Option<[f64; 2]> {
    let text = text.strip_suffix('Z').unwrap_or(text).replacen('T', " ", 1);
    let day =
        NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().and_then(|day| Some((day.and_hms_opt(0, 0, 0)?, 86_400)));
    let minute = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M").ok().map(|time| (time, 60));
    let second = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S").ok().map(|time| (time, 1));
    let (from, seconds) = day.or_else(minute).or_else(second)?;
    let from = from.and_utc().timestamp();
    Some([from as f64, (from + seconds - 1) as f64])
}

#[cfg(test)]
mod tests {
    use super::span;
    use crate::record::utc;

    #[test]
    fn a_day_a_minute_and_a_second_last_as_long_as_they_say() {
        let told = |text| span(text).map(|ends| ends.map(|end| utc(end as u64)));
        let ends = |from: &str, to: &str| Some([from, to].map(str::to_owned));
        assert_eq!(told("2026-11-01"), ends("2026-11-01T00:00:00Z", "2026-11-01T23:59:59Z"));
        assert_eq!(told("2024-02-29T12:00"), ends("2024-02-29T12:00:00Z", "2024-02-29T12:00:59Z"));
        assert_eq!(told("2026-11-01 12:00Z"), told("2026-11-01T12:00"));
        assert_eq!(told("1970-01-02T03:04:05Z"), ends("1970-01-02T03:04:05Z", "1970-01-02T03:04:05Z"));
        for text in ["", "2026", "2026-13-01", "2026-02-30", "2026-11-01T25:00", "yesterday", "1.5", "2026-11-01x"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
