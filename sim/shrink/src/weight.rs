//! How complicated a case is to a person who reads it.

use mailstorm_record::{Case, Fault, FaultKind, Setting};

/// How complicated a case is. What stands first counts most: a fault less is worth any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight {
    /// How many faults there are.
    faults: usize,
    /// How hard their kinds are to think through.
    kinds: u64,
    /// How many nodes they name.
    nodes: usize,
    /// How far the settings are from the simplest.
    settings: u64,
    /// How long storm and faults last.
    ms: u64,
    /// Digits, of all numbers, that are not a round number's zeros.
    digits: u32,
}

impl Weight {
    /// The weight of a case of a scenario that has these settings.
    pub fn of(case: &Case, settings: &[Setting]) -> Self {
        let faults = &case.plan.faults;
        let distance = |setting: &Setting| {
            let value = case.settings.0.get(setting.name).copied().unwrap_or(setting.default);
            value.abs_diff(setting.simplest)
        };
        let lasting = faults.iter().map(|fault| fault.lasts_ms).fold(0, u64::saturating_add);
        Self {
            faults: faults.len(),
            kinds: faults.iter().map(|fault| rank(&fault.kind)).sum(),
            nodes: faults.iter().flat_map(|f| f.kind.node_lists()).map(|list| list.len()).sum(),
            settings: settings.iter().map(distance).fold(0, u64::saturating_add),
            ms: case.plan.storm_ms().saturating_add(lasting),
            digits: faults.iter().map(digits).sum::<u32>() + significant(case.plan.storm_ms()),
        }
    }
}

/// How hard a kind is to think through.
fn rank(kind: &FaultKind) -> u64 {
    match kind {
        FaultKind::Kill { .. } | FaultKind::Isolate { .. } | FaultKind::Pause { .. } => 1,
        FaultKind::Crash { .. } => 2,
        FaultKind::PowerCut { .. }
        | FaultKind::Partition { .. }
        | FaultKind::KillSessions { .. }
        | FaultKind::DiskStall { .. }
        | FaultKind::DiskFull { .. }
        | FaultKind::SyncFails { .. }
        | FaultKind::ReadFails { .. }
        | FaultKind::WriteFails { .. }
        | FaultKind::SyncLies { .. }
        | FaultKind::DiskLost { .. }
        | FaultKind::Jump { .. } => 3,
        FaultKind::OneWay { .. }
        | FaultKind::Slow { kib_per_second: 0, .. }
        | FaultKind::Reset { every_ms: 0, .. }
        | FaultKind::Drift { .. }
        | FaultKind::DiskSlow { .. }
        | FaultKind::TornWrites { .. }
        | FaultKind::BitRot { .. }
        | FaultKind::UnreadableSectors { .. }
        | FaultKind::MisdirectedWrite { .. }
        | FaultKind::Flood { .. } => 4,
        FaultKind::Bridge { .. }
        | FaultKind::Ring { .. }
        | FaultKind::Flap { .. }
        | FaultKind::Slow { .. }
        | FaultKind::Corrupt { .. }
        | FaultKind::Reset { .. }
        | FaultKind::CrashLoop { .. } => 5,
    }
}

fn digits(fault: &Fault) -> u32 {
    let numbers = match fault.kind {
        FaultKind::Flap { down_ms, up_ms, .. } | FaultKind::CrashLoop { down_ms, up_ms, .. } => {
            [down_ms, up_ms]
        }
        FaultKind::Slow { delay_ms, kib_per_second, .. } => [delay_ms, kib_per_second],
        FaultKind::Corrupt { per_million, .. } => [per_million.into(), 0],
        FaultKind::Reset { every_ms, .. } => [every_ms, 0],
        FaultKind::Flood { connections, .. } => [connections.into(), 0],
        FaultKind::Drift { ppm, .. } => [ppm.unsigned_abs().into(), 0],
        FaultKind::Jump { by_ms, .. } => [by_ms.unsigned_abs(), 0],
        FaultKind::DiskSlow { factor, .. } => [factor.into(), 0],
        FaultKind::BitRot { sectors, .. } => [sectors.into(), 0],
        _ => [0, 0],
    };
    let lasts_ms = if fault.is_forever() { 0 } else { fault.lasts_ms };
    [fault.at_ms, lasts_ms].into_iter().chain(numbers).map(significant).sum()
}

/// How many digits a number has without the zeros at its end.
fn significant(mut number: u64) -> u32 {
    while number != 0 && number.is_multiple_of(10) {
        number /= 10;
    }
    number.checked_ilog10().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_number_has_few_digits() {
        assert_eq!([0, 7, 10, 4_000, 4_100, 4_137].map(significant), [0, 1, 1, 1, 2, 4]);
    }
}
