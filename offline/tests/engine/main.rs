//! The engine over real Parquet files: what it reads, what it refuses and in which words, and that memory changes nothing.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod order;
#[cfg(test)]
mod project;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod times;
