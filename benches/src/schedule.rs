//! When requests are meant to be sent: Poisson arrivals, drawn from a seed before the clock starts.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Intended send times, counted from the start, ascending.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Requests a second that were asked for.
    pub rate: f64,
    /// How long it goes on.
    pub length: Duration,
    /// The arrivals.
    pub arrivals: Vec<Duration>,
}

impl Schedule {
    /// Poisson arrivals at `rate` a second for `length`: the same seed gives the same times.
    pub fn poisson(rate: f64, length: Duration, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut at = 0.0;
        let mut arrivals = Vec::new();
        loop {
            // 1 - u lies in (0, 1], so its logarithm is finite
            at -= (1.0 - random.random::<f64>()).ln() / rate;
            if at >= length.as_secs_f64() {
                return Self { rate, length, arrivals };
            }
            arrivals.push(Duration::from_secs_f64(at));
        }
    }

    /// Requests a second that the arrivals come to.
    pub fn offered(&self) -> f64 {
        self.arrivals.len() as f64 / self.length.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_arrivals_at_about_the_rate() {
        let schedule = Schedule::poisson(1_000.0, Duration::from_secs(20), 7);
        assert_eq!(schedule.arrivals, Schedule::poisson(1_000.0, Duration::from_secs(20), 7).arrivals);
        assert!((schedule.offered() - 1_000.0).abs() < 50.0, "{}", schedule.offered());
        assert!(schedule.arrivals.is_sorted());
    }

    #[test]
    fn gaps_vary_as_much_as_their_mean() {
        let arrivals = Schedule::poisson(1_000.0, Duration::from_secs(20), 8).arrivals;
        let gaps = arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect::<Vec<_>>();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let ratio = variance.sqrt() / mean;
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }
}
