//! What lies in folders of runs, listed by `infomax runs` and shown by `infomax board`: through the real binary, a real browser where
//! there is one, and requests that no browser sends.

mod browser;
mod hostile;
mod listing;
mod page;
mod person;
mod watching;
