//! Waiting with a deadline. Time in which this process did not run (a suspended machine, SIGSTOP) does not count: what it
//! waits for did not run either.

use std::time::Duration;

const SLICE: Duration = Duration::from_millis(100);

/// Waits in short slices until something comes or the deadline has passed; none then. A slice counts as what it is, however
/// long it took.
pub fn within<T>(deadline: Duration, mut wait: impl FnMut(Duration) -> Option<T>) -> Option<T> {
    let mut left = deadline;
    loop {
        let slice = left.min(SLICE);
        if let Some(found) = wait(slice) {
            return Some(found);
        }
        left -= slice;
        if left.is_zero() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::channel, thread};

    #[test]
    fn a_slice_that_took_long_counts_as_a_slice() {
        let mut waits = 0;
        let found = within(Duration::from_millis(250), |slice| {
            waits += 1;
            thread::sleep(slice * 2);
            (waits == 10).then_some(())
        });
        assert_eq!((found, waits), (None, 3));
        let (send, receive) = channel();
        send.send(7).unwrap();
        assert_eq!(within(Duration::from_secs(9), |slice| receive.recv_timeout(slice).ok()), Some(7));
    }
}
