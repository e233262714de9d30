//! Threads that make numbered things ahead of time and hand them over in order. Bounded: no more than `ahead` are under
//! way or lie ready. A panic in a thread becomes an error; a thread that hangs is noticed by a deadline.

use crate::error::{Error, Fault, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// Makes the thing of a number.
pub type Make<T> = Arc<dyn Fn(u64) -> Result<T> + Send + Sync>;

/// Numbered things in order, made by threads, or by the caller's own where there are none.
pub struct OrderedWorkers<T> {
    make: Make<T>,
    numbers: Range<u64>,
    asked: u64,
    ahead: u64,
    ready: BTreeMap<u64, Result<T>>,
    jobs: Option<Sender<u64>>,
    done: Receiver<(u64, Result<T>)>,
    threads: Vec<JoinHandle<()>>,
    deadline: Duration,
}

impl<T: Send + 'static> OrderedWorkers<T> {
    /// Starts `workers` threads on a range of numbers.
    pub fn start(make: Make<T>, numbers: Range<u64>, workers: usize, ahead: u64, deadline: Duration) -> Self {
        let (jobs, todo) = bounded::<u64>((ahead as usize).max(workers) + 1);
        let (finished, done) = unbounded();
        let work = |number: usize| {
            let (make, todo, finished) = (make.clone(), todo.clone(), finished.clone());
            let body = move || {
                for number in todo {
                    let result = catch_unwind(AssertUnwindSafe(|| make(number))).unwrap_or_else(|_| {
                        Err(Error::Bug { what: format!("a loader thread panicked while making batch {number}") })
                    });
                    if finished.send((number, result)).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new().name(format!("loader-{number}")).spawn(body).expect("the system can start threads")
        };
        let threads = (0..workers).map(work).collect();
        let ahead = ahead.max(workers as u64);
        let asked = numbers.start;
        Self { make, numbers, asked, ahead, ready: BTreeMap::new(), jobs: Some(jobs), done, threads, deadline }
    }

    fn ask(&mut self) {
        let until = self.numbers.end.min(self.numbers.start.saturating_add(self.ahead));
        while self.asked < until {
            if let Some(jobs) = &self.jobs {
                let _ = jobs.send(self.asked);
            }
            self.asked += 1;
        }
    }

    fn wait_for(&mut self, number: u64) -> Result<T> {
        loop {
            if let Some(result) = self.ready.remove(&number) {
                return result;
            }
            match self.done.recv_timeout(self.deadline) {
                Ok((number, result)) => {
                    self.ready.insert(number, result);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = self.deadline.as_secs();
                    let fault =
                        Fault::new(format!("no batch within {seconds} s: a loader thread hangs in the dataset"))
                            .at(format!("batch {number}"))
                            .hint("check the disk, or raise `plugins.timeout_seconds`");
                    // The hanging thread can't be ended; don't wait for it.
                    self.threads.clear();
                    return Err(Error::Dataset { fault });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Bug { what: "all loader threads ended".to_owned() });
                }
            }
        }
    }
}

impl<T: Send + 'static> Iterator for OrderedWorkers<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = self.numbers.start;
        let result = if self.threads.is_empty() {
            (self.make)(number)
        } else {
            self.ask();
            self.wait_for(number)
        };
        self.numbers.start += 1;
        if !self.threads.is_empty() {
            self.ask();
        }
        if result.is_err() {
            self.numbers.end = self.numbers.start;
        }
        Some(result)
    }
}

impl<T> Drop for OrderedWorkers<T> {
    fn drop(&mut self) {
        self.jobs = None;
        while self.done.try_recv().is_ok() {}
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(workers: usize, fail_at: Option<u64>) -> Vec<Option<u64>> {
        let make: Make<u64> = Arc::new(move |number| {
            thread::sleep(Duration::from_micros(200 * (number % 3)));
            assert_ne!(Some(number), fail_at, "as asked");
            Ok(number)
        });
        let loader = OrderedWorkers::start(make, 5..25, workers, 4, Duration::from_secs(5));
        loader.map(|result| result.ok()).collect()
    }

    #[test]
    fn order_does_not_depend_on_workers() {
        let expected: Vec<_> = (5..25).map(Some).collect();
        for workers in [0, 1, 4] {
            assert_eq!(numbers(workers, None), expected, "{workers} workers");
        }
    }

    #[test]
    fn d20_a_panicking_loader_thread_ends_the_iteration_with_an_error() {
        let expected: Vec<_> = (5..9).map(Some).chain([None]).collect();
        assert_eq!(numbers(2, Some(9)), expected);
    }

    #[test]
    fn d20_a_hanging_loader_thread_is_noticed_by_the_deadline() {
        let make: Make<u64> = Arc::new(|number| {
            thread::sleep(Duration::from_secs(if number == 1 { 600 } else { 0 }));
            Ok(number)
        });
        let start = std::time::Instant::now();
        let mut loader = OrderedWorkers::start(make, 0..5, 1, 2, Duration::from_millis(300));
        assert!(loader.next().unwrap().is_ok());
        assert!(loader.next().unwrap().unwrap_err().to_string().contains("hangs"));
        drop(loader);
        assert!(start.elapsed() < Duration::from_secs(30), "dropping must not wait for the hanging thread");
    }
}
