//! How many events a listener gets: so many per second of the clock, the rest is counted.

/// A limit of events per second. Time is told to it, so it needs no clock.
#[derive(Clone, Debug)]
pub struct Budget {
    per_second: u32,
    second: u64,
    used: u32,
}

impl Budget {
    /// At most `per_second` events.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second: 0,
            used: 0,
        }
    }

    /// Whether there is room for one more at `now_ms` (Unix milliseconds). A clock that steps back
    /// begins a new second, too.
    pub fn take(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if second != self.second {
            (self.second, self.used) = (second, 0);
        }
        let has_room = self.used < self.per_second;
        self.used += u32::from(has_room);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_room_for_so_many() {
        let mut budget = Budget::new(2);
        let taken = [1_000, 1_500, 1_999, 2_000, 2_001, 2_002].map(|now| budget.take(now));
        assert_eq!(taken, [true, true, false, true, true, false]);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_close_it() {
        let mut budget = Budget::new(1);
        assert!(budget.take(9_000));
        assert!(budget.take(5_000));
    }
}
