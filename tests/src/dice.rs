//! Numbers that are random enough, the same again for the same seed.

/// Vigna's splitmix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// What comes depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From the environment's `variable`, else from the clock; printed, so that a failure can be had again.
    pub fn from_env(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
        let seed = given.unwrap_or_else(clock);
        println!("seed {seed} ({variable})");
        Self(seed)
    }

    /// Below `sides`, which is not 0.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.roll(from.len() as u64);
        &from[usize::try_from(index).expect("smaller than a length")]
    }

    /// Bytes that no compression makes smaller.
    ///
    /// # Panics
    /// Never.
    pub fn noise(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.roll(256)).expect("a byte")).collect()
    }
}
