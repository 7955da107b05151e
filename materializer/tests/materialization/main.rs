//! Materialization end to end: real registry, real stores, rows put in place by each test or computed from Parquet files.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod log;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod property;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod world;
