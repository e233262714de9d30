//! Randomness as a function: a [`Key`] is derived from (seed, purpose, epoch or step, sample, view, rank) and gives the
//! same numbers wherever and whenever it is asked, so that results depend on neither workers nor interruptions.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::cell::{Cell, RefCell};

thread_local! {
    /// Whether this thread's keys are followed.
    static FOLLOWED: Cell<bool> = const { Cell::new(false) };
    /// The key that the host gave, and each key that was derived since: from which one, by which number.
    static TRAIL: RefCell<Trail> = const { RefCell::new(Trail { root: None, derived: Vec::new() }) };
}

struct Trail {
    root: Option<Key>,
    derived: Vec<(Key, u64, Key)>,
}

/// While this lives, this thread's keys are followed back to one of the host's.
pub(crate) struct Following(());

impl Drop for Following {
    fn drop(&mut self) {
        FOLLOWED.set(false);
        TRAIL.with_borrow_mut(|trail| trail.derived.clear());
    }
}

/// Follows keys from here on.
pub(crate) fn follow(root: Key) -> Following {
    TRAIL.with_borrow_mut(|trail| *trail = Trail { root: Some(root), derived: Vec::new() });
    FOLLOWED.set(true);
    Following(())
}

/// A 128-bit key. Derive children with [`Key::fold`] and [`Key::purpose`]; draw from [`Key::rng`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub [u64; 2]);

impl Key {
    /// The root key of a run.
    pub fn new(seed: u64) -> Self {
        Self([mix(seed), mix(seed ^ 0x6A09_E667_F3BC_C908)]) // the fraction of √2: tells the halves apart
    }

    /// The child with this number: an epoch, a step, a sample, a view, a rank.
    #[must_use]
    pub fn fold(self, number: u64) -> Self {
        let [a, b] = self.0;
        let a = mix(a ^ mix(number.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        let child = Self([a, mix(b.rotate_left(23) ^ a)]);
        if FOLLOWED.get() {
            TRAIL.with_borrow_mut(|trail| trail.derived.push((self, number, child)));
        }
        child
    }

    /// The host's key that this one comes from, and the numbers that lead to it; none where it comes from elsewhere.
    pub(crate) fn path(self) -> Option<(Self, Vec<u64>)> {
        if !FOLLOWED.get() {
            return None;
        }
        TRAIL.with_borrow(|trail| {
            let (root, mut key, mut numbers) = (trail.root?, self, Vec::new());
            while key != root {
                let (parent, number, _) = trail.derived.iter().rfind(|(_, _, child)| *child == key)?;
                numbers.push(*number);
                key = *parent;
            }
            numbers.reverse();
            Some((root, numbers))
        })
    }

    /// The child for a named purpose ("augment", "order", …).
    #[must_use]
    pub fn purpose(self, name: &str) -> Self {
        name.bytes().fold(self.fold(name.len() as u64), |key, byte| key.fold(u64::from(byte)))
    }

    /// The generator of this key's numbers.
    pub fn rng(self) -> KeyedRng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.0[0].to_le_bytes());
        seed[8..16].copy_from_slice(&self.0[1].to_le_bytes());
        KeyedRng(ChaCha8Rng::from_seed(seed))
    }

    /// 63 bits of this key, as a seed for libtorch's generator.
    pub fn torch_seed(self) -> i64 {
        (self.0[0] >> 1) as i64
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that changes half of the bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// ChaCha8 seeded from a key, with the draws that views and orders need. Any `rand` distribution works on it too.
#[derive(Clone, Debug)]
pub struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    /// Uniform in [0, 1), from 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform among 0, 1, …, n − 1; n must be at least 1. The bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability p.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

impl RngCore for KeyedRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dst: &mut [u8]) {
        self.0.fill_bytes(dst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_the_same_path_repeats_and_of_another_differs() {
        let key = Key::new(1).purpose("augment").fold(3).fold(7);
        assert_eq!(key, Key::new(1).purpose("augment").fold(3).fold(7));
        assert_ne!(key, Key::new(1).purpose("augment").fold(7).fold(3));
        assert_ne!(key, Key::new(2).purpose("augment").fold(3).fold(7));
        assert_ne!(Key::new(1).purpose("ab").purpose("c"), Key::new(1).purpose("a").purpose("bc"));
    }

    #[test]
    fn draws_are_pinned_across_versions() {
        let mut rng = Key::new(1).fold(2).rng();
        assert_eq!([rng.below(1000), rng.below(1000), rng.below(1000)], PINNED);
    }

    #[test]
    fn the_path_of_a_key_leads_to_it_again() {
        let root = Key::new(3).fold(9);
        let following = follow(root);
        let key = root.purpose("location").fold(2);
        let (from, numbers) = key.path().unwrap();
        assert_eq!((from, root.path()), (root, Some((root, Vec::new()))));
        assert_eq!(Key::new(4).path(), None, "of another root");
        let again = |root: Key| numbers.iter().fold(root, |key, number| key.fold(*number));
        assert_eq!(again(root), key);
        assert_eq!(again(Key::new(5)), Key::new(5).purpose("location").fold(2));
        drop(following);
        assert_eq!(key.path(), None);
    }

    const PINNED: [u64; 3] = [291, 906, 557]; // recorded from this implementation: a change here changes every user's results

    #[test]
    fn unit_has_the_mean_and_variance_of_a_uniform() {
        let mut rng = Key::new(9).rng();
        let draws: Vec<f64> = (0..100_000).map(|_| rng.unit()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005 && (variance - 1.0 / 12.0).abs() < 0.002, "{mean} {variance}");
    }

    #[test]
    fn shuffle_is_a_permutation() {
        let mut items: Vec<u32> = (0..1000).collect();
        Key::new(4).rng().shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }
}
