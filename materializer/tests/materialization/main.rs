//! Materialization end to end: real registry, real stores, rows put in place by each test or computed from Parquet files.

mod audit;
mod cases;
mod faults;
mod generations;
mod world;
