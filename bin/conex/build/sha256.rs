//! SHA-256 (FIPS 180-4), so that building needs no crate. The image's digests are checked by a test of `conex`.

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(message: &[u8]) -> String {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());

    let constants: Vec<u32> = primes().map(|prime| root_bits(prime, f64::cbrt)).collect();
    let mut state: Vec<u32> = primes().take(8).map(|prime| root_bits(prime, f64::sqrt)).collect();
    for block in padded.chunks_exact(64) {
        add_block(&mut state, block, &constants);
    }
    let digits: String = state.iter().map(|word| format!("{word:08x}")).collect();
    format!("sha256:{digits}")
}

fn add_block(state: &mut [u32], block: &[u8], constants: &[u32]) {
    let mut w: Vec<u32> =
        block.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
    for t in 16..64 {
        let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
        let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
        w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
    }
    let mut v: [u32; 8] = std::array::from_fn(|i| state[i]);
    for t in 0..64 {
        let [a, b, c, d, e, f, g, h] = v;
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let first = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(constants[t]).wrapping_add(w[t]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        v = [first.wrapping_add(s0.wrapping_add(majority)), a, b, c, d.wrapping_add(first), e, f, g];
    }
    for (word, value) in state.iter_mut().zip(v) {
        *word = word.wrapping_add(value);
    }
}

/// The first 64 primes, from which the standard takes its constants.
fn primes() -> impl Iterator<Item = u32> {
    (2..312u32).filter(|n| (2..*n).all(|divisor| n % divisor != 0))
}

/// The first 32 bits of the fraction of a prime's root.
fn root_bits(prime: u32, root: fn(f64) -> f64) -> u32 {
    (root(f64::from(prime)).fract() * 4_294_967_296.0) as u32
}
