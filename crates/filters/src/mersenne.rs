//! Python's `random.Random(seed)`: MT19937, seeded as Python seeds it.

use kubespray_value::{Error, Value};
use num_bigint::{BigInt, BigUint};
use num_traits::Signed;
use sha1::Digest;
use sha2::Sha512;

const SIZE: usize = 624;
const SHIFT: usize = 397;

/// A generator with Python's stream of numbers.
#[derive(Debug)]
pub(crate) struct Mersenne {
    state: Vec<u32>,
    index: usize,
}

impl Mersenne {
    /// Python's `Random(seed)`.
    pub(crate) fn seeded(seed: &Value) -> Result<Self, Error> {
        let number = match seed {
            // Python takes the bits of the hash for a number without sign.
            Value::Float(f) => BigInt::from(float_hash(*f) as u64),
            Value::Str(text) => from_bytes(text.as_bytes()),
            Value::Bytes(bytes) => from_bytes(bytes),
            other => other.as_big().ok_or_else(|| {
                Error::of_type(format!("a seed must be a number or a text, not `{}`", other.type_name()))
            })?,
        };
        let mut key = number.abs().to_biguint().unwrap_or_default().to_u32_digits();
        if key.is_empty() {
            key.push(0);
        }
        Ok(Self::from_key(&key))
    }

    fn from_key(key: &[u32]) -> Self {
        let mut state: Vec<u32> = Vec::with_capacity(SIZE);
        let mut previous = 19_650_218_u32;
        state.push(previous);
        for index in 1..SIZE as u32 {
            previous = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(index);
            state.push(previous);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..SIZE.max(key.len()) {
            let before = state[i - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == SIZE {
                state[0] = state[SIZE - 1];
                i = 1;
            }
        }
        for _ in 0..SIZE - 1 {
            let before = state[i - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i == SIZE {
                state[0] = state[SIZE - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        Self { state, index: SIZE }
    }

    fn next(&mut self) -> u32 {
        if self.index >= SIZE {
            for i in 0..SIZE {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7fff_ffff);
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + SHIFT) % SIZE] ^ (y >> 1) ^ twist;
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Python's `getrandbits`, for up to 64 bits.
    pub(crate) fn bits(&mut self, count: u32) -> u64 {
        match count {
            0 => 0,
            1..=32 => u64::from(self.next() >> (32 - count)),
            _ => {
                let low = u64::from(self.next());
                let high = u64::from(self.next() >> (64 - count.min(64)));
                low | (high << 32)
            }
        }
    }
}

/// Python appends the SHA-512 of a text seed and reads all of it as one number.
fn from_bytes(bytes: &[u8]) -> BigInt {
    let mut all = bytes.to_vec();
    all.extend(Sha512::digest(bytes));
    BigInt::from(BigUint::from_bytes_be(&all))
}

/// Python's `hash(float)`: the value modulo 2^61 - 1.
fn float_hash(float: f64) -> i64 {
    const BITS: u32 = 61;
    const MODULUS: u64 = (1 << BITS) - 1;
    if float.is_nan() {
        return 0;
    }
    if float.is_infinite() {
        return if float > 0.0 { 314_159 } else { -314_159 };
    }
    let bits = float.abs().to_bits();
    let (raw_exponent, fraction) = ((bits >> 52) as i64, bits & ((1 << 52) - 1));
    let (mantissa, exponent) =
        if raw_exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), raw_exponent - 1075) };
    // Multiplying by a power of two rotates the 61 bits.
    let turn = exponent.rem_euclid(i64::from(BITS)) as u32;
    let hash = ((mantissa << turn) & MODULUS) | if turn == 0 { 0 } else { mantissa >> (BITS - turn) };
    let hash = (if hash >= MODULUS { hash - MODULUS } else { hash }) as i64;
    match if float < 0.0 { -hash } else { hash } {
        -1 => -2,
        hash => hash,
    }
}
