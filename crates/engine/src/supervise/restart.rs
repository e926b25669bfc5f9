//! When a container is started again: Docker's policies and Docker's back-off.

use std::time::Duration;

use crate::options::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length starts the back-off over.
const STABLE: Duration = Duration::from_secs(10);

/// Counts the restarts of one container.
#[derive(Debug)]
pub(super) struct Restarts {
    pub(super) policy: RestartPolicy,
    wait: Duration,
    /// How often the policy has decided to start it, the next time included that it waits for.
    pub(super) count: u32,
}

impl Restarts {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, wait: Duration::ZERO, count: 0 }
    }

    /// How long to wait before the next start after a run that ended with `code`; `None` for no next start.
    pub(super) fn next(&mut self, code: i32, ran: Duration) -> Option<Duration> {
        let again = match self.policy {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure { max_retries } => {
                code != 0 && max_retries.is_none_or(|most| self.count < most)
            }
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        };
        again.then(|| self.back_off(ran))
    }

    /// The same for a container that was stopped because its health is bad (`--health-on-failure restart`): whatever the policy,
    /// but no more often than it says.
    pub(super) fn unhealthy(&mut self, ran: Duration) -> Option<Duration> {
        let again = match self.policy {
            RestartPolicy::OnFailure { max_retries } => max_retries.is_none_or(|most| self.count < most),
            RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        };
        again.then(|| self.back_off(ran))
    }

    fn back_off(&mut self, ran: Duration) -> Duration {
        self.count += 1;
        self.wait = if ran >= STABLE || self.wait.is_zero() { FIRST } else { (self.wait * 2).min(LONGEST) };
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_and_recovers() {
        let mut restarts = Restarts::new(RestartPolicy::Always);
        let waits: Vec<u128> =
            (0..12).map(|_| restarts.next(0, Duration::ZERO).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(restarts.next(1, STABLE), Some(FIRST));
        assert_eq!(restarts.count, 13);
    }

    #[test]
    fn on_failure_counts_and_spares_success() {
        let mut restarts = Restarts::new(RestartPolicy::OnFailure { max_retries: Some(2) });
        assert!(restarts.next(0, Duration::ZERO).is_none());
        assert!(restarts.next(1, Duration::ZERO).is_some());
        assert!(restarts.next(1, Duration::ZERO).is_some());
        assert!(restarts.next(1, Duration::ZERO).is_none());
        assert!(Restarts::new(RestartPolicy::No).next(1, Duration::ZERO).is_none());
    }

    #[test]
    fn bad_health_backs_off_under_any_policy() {
        let mut restarts = Restarts::new(RestartPolicy::No);
        let waits: Vec<u128> =
            (0..3).map(|_| restarts.unhealthy(Duration::ZERO).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400]);
        let mut restarts = Restarts::new(RestartPolicy::OnFailure { max_retries: Some(1) });
        assert!(restarts.unhealthy(Duration::ZERO).is_some());
        assert!(restarts.unhealthy(Duration::ZERO).is_none());
    }
}
