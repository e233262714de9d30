//! When a run of several processes ends before its updates are done: because one of them was asked to, or because its time is
//! over. All must end after the same update, and none may be waited for in every one.
//!
//! A thread of each process looks at the store, where one that is to end leaves a word. Each process then says which update it
//! has begun, and begins no other until all have said it: the latest one is the last.

use super::native::Store;
use crate::train::Signals;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// The same while others wait for the answer.
const POLL_SOON: Duration = Duration::from_millis(10);
/// How long the thread is waited for at the end. libtorch's store waits for an answer without a deadline: where the way to it is
/// cut, TCP gives up after a quarter of an hour.
const GRACE: Duration = Duration::from_secs(1);

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// Its budget in seconds is spent.
    Time,
    /// A signal.
    Asked,
}

/// Where the processes of a run leave word for one another.
#[derive(Clone, Debug)]
pub struct Meetingplace {
    pub host: String,
    pub port: u16,
    /// Apart from other jobs at the same store.
    pub job: String,
    pub rank: usize,
    pub size: usize,
    /// How long another process is waited for.
    pub timeout: Duration,
}

/// The agreement on an end, as one process sees it.
pub struct Ending {
    signals: Signals,
    watch: Option<Watch>,
}

struct Watch {
    shared: Arc<Shared>,
    /// How long an answer of the others is waited for before they count as lost.
    patience: Duration,
    /// Dropped to end the thread.
    goes_on: Option<Sender<()>>,
    /// Closed by the thread's end.
    gone: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the others can't be asked any more: whoever exchanges something with them will be told why.
    lost: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Updates begun.
    begun: u64,
    /// Since when none may be begun.
    held: Option<Instant>,
    /// After how many updates all end, and why.
    end: Option<(u64, Why)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Ending {
    /// Of a process that trains alone: it ends when it is asked to.
    pub fn alone(signals: Signals) -> Self {
        Self { signals, watch: None }
    }

    /// Of one among others, which has begun the first `begun` updates; `is_over` says whether the run's time is over.
    ///
    /// # Errors
    /// A store that is gone, in libtorch's words.
    pub fn among(
        place: Meetingplace,
        signals: Signals,
        begun: u64,
        is_over: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, String> {
        let store = Store::open(&place.host, place.port, false, place.timeout)?;
        let shared = Arc::new(Shared { state: Mutex::new(State { begun, ..State::default() }), ..Shared::default() });
        let (goes_on, ended) = channel::<()>();
        let (here, gone) = channel::<()>();
        let patience = place.timeout + GRACE;
        let (own, asked) = (shared.clone(), signals.clone());
        let body = move || {
            let _here = here;
            let pause = |time| matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Timeout));
            let look = Look { place, store, shared: &own, pause: &pause };
            if let Err(message) = look.until_an_end(&asked, &is_over) {
                log::debug!("no word of an end can be heard any more: {message}");
                own.lost.store(true, Ordering::Relaxed);
                own.changed.notify_all();
            }
        };
        let thread = thread::Builder::new().name("ending".to_owned()).spawn(body).map_err(|error| error.to_string())?;
        Ok(Self {
            signals,
            watch: Some(Watch { shared, patience, goes_on: Some(goes_on), gone, thread: Some(thread) }),
        })
    }

    /// Whether the run ends after `done` updates, and why; otherwise the next one is begun by this. Of several processes all get
    /// the same answer; one that is to wait for the others' word does.
    pub fn after(&self, done: u64) -> Option<Why> {
        let Some(Watch { shared, patience, .. }) = &self.watch else {
            return self.signals.asked().then_some(Why::Asked);
        };
        let mut state = shared.lock();
        loop {
            if let Some((end, why)) = state.end.filter(|(end, _)| done >= *end) {
                debug_assert!(done == end, "nobody begins an update beyond the end");
                return Some(why);
            }
            let lost =
                shared.lost.load(Ordering::Relaxed) || state.held.is_some_and(|since| since.elapsed() > *patience);
            if state.end.is_some() || state.held.is_none() || lost {
                state.begun = done + 1;
                return None;
            }
            state = shared.changed.wait_timeout(state, POLL).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.goes_on = None;
        if self.gone.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            log::debug!("the store does not answer: the thread that asks it is left behind");
        } else if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread that looks.
struct Look<'a> {
    place: Meetingplace,
    store: Store,
    shared: &'a Shared,
    /// Sleeps; false where the run is over.
    pause: &'a dyn Fn(Duration) -> bool,
}

impl Look<'_> {
    fn key(&self, what: &str) -> String {
        format!("{}/end/{what}", self.place.job)
    }

    fn until_an_end(&self, signals: &Signals, is_over: &dyn Fn() -> bool) -> Result<(), String> {
        let word = self.key("word");
        loop {
            let own = if signals.asked() { Some(Why::Asked) } else { is_over().then_some(Why::Time) };
            let heard = self.store.get(&word)?;
            if own.is_some() && heard.is_none() {
                self.store.set(&word, b"end")?;
            }
            if own.is_some() || heard.is_some() {
                return self.agree(own.unwrap_or(Why::Time));
            }
            if !(self.pause)(POLL) {
                return Ok(());
            }
        }
    }

    /// Says which update this process has begun, and hears it of the others.
    fn agree(&self, own: Why) -> Result<(), String> {
        let begun = {
            let mut state = self.shared.lock();
            state.held = Some(Instant::now());
            state.begun
        };
        let said = serde_json::to_vec(&(begun, own)).map_err(|error| error.to_string())?;
        self.store.set(&self.key(&self.place.rank.to_string()), &said)?;
        let (mut last, mut why) = (begun, own);
        let deadline = Instant::now() + self.place.timeout;
        for rank in (0..self.place.size).filter(|&rank| rank != self.place.rank) {
            let key = self.key(&rank.to_string());
            let heard = loop {
                if let Some(heard) = self.store.get(&key)? {
                    break heard;
                }
                if Instant::now() > deadline {
                    return Err(format!("rank {rank} says nothing"));
                }
                if !(self.pause)(POLL_SOON) {
                    return Ok(());
                }
            };
            let (begun, its): (u64, Why) = serde_json::from_slice(&heard).map_err(|error| error.to_string())?;
            (last, why) = (last.max(begun), why.max(its));
        }
        self.shared.lock().end = Some((last, why));
        self.shared.changed.notify_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    fn places(size: usize) -> (Store, Vec<Meetingplace>) {
        let (store, port) = Store::serve(None, Duration::from_secs(10)).unwrap();
        let place = |rank| Meetingplace {
            host: "127.0.0.1".to_owned(),
            port,
            job: "test".to_owned(),
            rank,
            size,
            timeout: Duration::from_secs(10),
        };
        (store, (0..size).map(place).collect())
    }

    /// Each process's updates until it ends, one of which takes the rank's own time.
    fn ended(ask: impl Fn(usize, u64) -> bool + Send + Sync + Clone + 'static) -> Vec<(u64, Why)> {
        let (_store, places) = places(3);
        let run = |place: Meetingplace| {
            let ask = ask.clone();
            thread::spawn(move || {
                let rank = place.rank;
                let done = Arc::new(Mutex::new(0u64));
                let seen = done.clone();
                let over = move || ask(rank, *seen.lock().unwrap());
                let ending = Ending::among(place, Signals::default(), 0, over).unwrap();
                loop {
                    let count = *done.lock().unwrap();
                    if let Some(why) = ending.after(count) {
                        return (count, why);
                    }
                    thread::sleep(Duration::from_millis(3 + 2 * rank as u64));
                    *done.lock().unwrap() += 1;
                }
            })
        };
        let threads: Vec<_> = places.into_iter().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }

    #[test]
    fn processes_that_run_at_their_own_pace_end_after_the_same_update() {
        for rank in 0..3 {
            let ends = ended(move |own, done| own == rank && done >= 20);
            assert!(ends.iter().all(|end| *end == ends[0] && end.0 >= 20 && end.1 == Why::Time), "{ends:?}");
        }
    }

    #[test]
    fn several_that_ask_at_once_are_one_request() {
        let ends = ended(|_, done| done >= 10);
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    }

    /// Passes bytes on to the store until it is told to fall silent, as a cut cable does: nobody is told.
    fn cable(to: u16, cut: Arc<AtomicBool>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let near = listener.accept().unwrap().0;
            let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let pass = |mut from: TcpStream, mut to: TcpStream| {
                let cut = cut.clone();
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes) {
                        if !cut.load(Ordering::Relaxed) && to.write_all(&bytes[..count]).is_err() {
                            return;
                        }
                    }
                })
            };
            let both = [pass(near.try_clone().unwrap(), far.try_clone().unwrap()), pass(far, near)];
            both.into_iter().for_each(|thread| thread.join().unwrap());
        });
        port
    }

    #[test]
    fn a_store_that_falls_silent_is_not_waited_for() {
        let (_store, mut places) = places(2);
        let mut place = places.remove(0);
        let cut = Arc::new(AtomicBool::new(false));
        place.port = cable(place.port, cut.clone());
        let ending = Ending::among(place, Signals::default(), 0, || false).unwrap();
        assert_eq!(ending.after(0), None);
        cut.store(true, Ordering::Relaxed);
        thread::sleep(3 * POLL);
        let (said, heard) = channel();
        thread::spawn(move || {
            drop(ending);
            said.send(()).unwrap();
        });
        heard.recv_timeout(Duration::from_secs(30)).expect("the end waits for the store");
    }

    #[test]
    fn a_store_that_falls_silent_while_the_end_is_agreed_holds_nobody_for_good() {
        let (_store, mut places) = places(2);
        let mut place = places.remove(0);
        place.timeout = Duration::from_secs(1);
        let cut = Arc::new(AtomicBool::new(false));
        place.port = cable(place.port, cut.clone());
        let ending = Ending::among(place, Signals::default(), 0, || true).unwrap();
        let (said, heard) = channel();
        thread::spawn(move || {
            for done in 0..300 {
                thread::sleep(Duration::from_millis(1));
                let began = Instant::now();
                assert_eq!(ending.after(done), None);
                said.send(began.elapsed()).unwrap();
            }
        });
        thread::sleep(POLL);
        cut.store(true, Ordering::Relaxed);
        let mut waits = Vec::new();
        while waits.len() < 300 {
            waits.push(heard.recv_timeout(Duration::from_secs(30)).expect("the agreement waits for the store"));
        }
        assert!(waits.iter().any(|wait| *wait > POLL), "nothing was held: {waits:?}");
    }

    #[test]
    fn one_that_never_answers_holds_nobody_for_good() {
        let (_store, mut places) = places(2);
        places[0].timeout = Duration::from_millis(300);
        let ending = Ending::among(places.remove(0), Signals::default(), 0, || true).unwrap();
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < Duration::from_secs(1) {
            assert_eq!(ending.after(done), None);
            done += 1;
            thread::sleep(Duration::from_millis(1));
        }
        assert!(done > 100, "{done} updates");
    }
}
