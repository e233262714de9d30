//! Threads that make numbered things ahead of time and hand them over in order. Bounded: no more than `ahead` are under
//! way or lie ready. A panic in a thread becomes an error; a thread that hangs is noticed by a deadline. Both name the
//! sample that the thread was at.

use super::reading::Reading;
use crate::{
    error::{Error, Fault, Result},
    patience::within,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::{
    any::Any,
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Makes the thing of a number.
pub type Make<T> = Arc<dyn Fn(u64) -> Result<T> + Send + Sync>;

/// How long dropping waits for what threads are at; one that takes longer is left behind.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

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
    /// What each thread is at; one entry for the caller's own where there are no threads.
    readings: Vec<Reading>,
    stop: Arc<AtomicBool>,
    deadline: Duration,
}

impl<T: Send + 'static> OrderedWorkers<T> {
    /// Starts `workers` threads on a range of numbers.
    pub fn start(make: Make<T>, numbers: Range<u64>, workers: usize, ahead: u64, deadline: Duration) -> Self {
        let (jobs, todo) = bounded::<u64>((ahead as usize).max(workers) + 1);
        let (finished, done) = unbounded();
        let readings: Vec<Reading> = (0..workers.max(1)).map(|_| Reading::default()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let work = |worker: usize| {
            let (make, todo, finished) = (make.clone(), todo.clone(), finished.clone());
            let (reading, stop) = (readings[worker].clone(), stop.clone());
            let body = move || {
                for number in todo {
                    if stop.load(Ordering::Relaxed)
                        || finished.send((number, guarded(&make, number, &reading))).is_err()
                    {
                        break;
                    }
                }
            };
            thread::Builder::new().name(format!("loader-{worker}")).spawn(body).expect("the system can start threads")
        };
        let threads = (0..workers).map(work).collect();
        let ahead = ahead.max(workers as u64);
        let (asked, ready, jobs) = (numbers.start, BTreeMap::new(), Some(jobs));
        Self { make, numbers, asked, ahead, ready, jobs, done, threads, readings, stop, deadline }
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
            let received = within(self.deadline, |slice| match self.done.recv_timeout(slice) {
                Err(RecvTimeoutError::Timeout) => None,
                other => Some(other),
            });
            match received {
                Some(Ok((number, result))) => {
                    self.ready.insert(number, result);
                }
                None => {
                    let place = self.readings.iter().find_map(|reading| reading.place(number));
                    let message = format!("no batch within {} s: a loader thread hangs", self.deadline.as_secs());
                    let fault = Fault::new(message)
                        .at(place.unwrap_or_else(|| format!("batch {number}")))
                        .hint("check the disk that holds the image, or raise `plugins.timeout_seconds`");
                    // The hanging thread can't be ended; don't wait for it.
                    self.threads.clear();
                    return Err(Error::Dataset { fault });
                }
                Some(Err(_)) => {
                    return Err(Error::Bug { what: "all loader threads ended".to_owned() });
                }
            }
        }
    }
}

/// Makes one thing; a panic becomes an error that names the sample.
fn guarded<T>(make: &Make<T>, number: u64, reading: &Reading) -> Result<T> {
    let made = reading.during(number, || catch_unwind(AssertUnwindSafe(|| make(number))));
    let result = made.unwrap_or_else(|payload| {
        let place = reading.place(number).unwrap_or_else(|| format!("batch {number}"));
        Err(Error::Bug { what: format!("a loader panicked: {}\n  at: {place}", text_of(&*payload)) })
    });
    reading.clear();
    result
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

impl<T: Send + 'static> Iterator for OrderedWorkers<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = self.numbers.start;
        let result = if self.threads.is_empty() {
            guarded(&self.make, number, &self.readings[0])
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
        // What is queued is not begun any more; what is under way ends, or is left behind.
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        while self.done.recv_timeout(DROP_DEADLINE).is_ok() {}
        if matches!(self.done.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected)) {
            self.threads.drain(..).for_each(|thread| drop(thread.join()));
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
    fn d20_a_panic_is_told_with_its_message_whoever_makes_the_batch() {
        for workers in [0, 2] {
            let make: Make<u64> = Arc::new(|number| if number == 1 { panic!("as asked") } else { Ok(number) });
            let mut loader = OrderedWorkers::start(make, 0..5, workers, 2, Duration::from_secs(5));
            assert!(loader.next().unwrap().is_ok());
            let error = loader.next().unwrap().unwrap_err().to_string();
            assert_eq!(error, "error: bug in infomax: a loader panicked: as asked\n  at: batch 1");
            assert!(loader.next().is_none());
        }
    }

    #[test]
    fn d20_dropping_begins_nothing_more_and_leaves_a_hanging_thread_behind() {
        let begun = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = begun.clone();
        let make: Make<u64> = Arc::new(move |number| {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(if number == 1 { 600_000 } else { 50 }));
            Ok(number)
        });
        let start = std::time::Instant::now();
        let mut loader = OrderedWorkers::start(make, 0..100, 2, 64, Duration::from_secs(60));
        assert!(loader.next().unwrap().is_ok());
        drop(loader);
        assert!(start.elapsed() < Duration::from_secs(20), "dropping must not wait for the hanging thread");
        assert!(begun.load(Ordering::Relaxed) < 8, "dropping must not work off the queue");
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
