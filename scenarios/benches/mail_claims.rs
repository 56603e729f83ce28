//! The main storm as a whole: seeds of `mail-claims` with the default swarm, codecs and checkers
//! on.
//!
//! Throughput is in delivered messages, so that a change of the storm changes the figure little;
//! the speed against real time is what a sweep's summary tells.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mailstorm_scenarios::find;
use mailstorm_world::{RunSpec, run, storm};
use std::ops::ControlFlow;

/// The seeds of one iteration: enough that a cruel one weighs no more than it does in a sweep.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=40;

fn sweeps(criterion: &mut Criterion) {
    let scenario = find("mail-claims", None).expect("the scenario exists");
    let specs = || SEEDS.map(|seed| RunSpec::new(scenario.clone(), seed));
    let messages = specs().map(|spec| run(&spec).outcome.messages).sum();
    let mut group = criterion.benchmark_group("mail-claims");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.throughput(Throughput::Elements(messages));
    for jobs in [1, 2] {
        group.bench_function(format!("{jobs} jobs"), |bencher| {
            bencher.iter(|| storm(specs(), jobs, |_| ControlFlow::Continue(())));
        });
    }
    group.finish();
}

criterion_group!(benches, sweeps);
criterion_main!(benches);
