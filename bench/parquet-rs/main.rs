//! What parquet_bench does, by parquet-rs:
//!
//!   parquet-rs-peer read THREADS TIMES FILE
//!   parquet-rs-peer write 1 TIMES FILE CODEC
//!
//! Prints the least seconds of TIMES (of CPU with one thread, else by the clock), rows, bytes, and the peak memory of the process.
//! Its writer of record batches has one thread.
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn seconds(threads: usize) -> f64 {
	let clock = if threads == 1 { libc::CLOCK_PROCESS_CPUTIME_ID } else { libc::CLOCK_MONOTONIC };
	let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
	unsafe { libc::clock_gettime(clock, &mut at) };
	at.tv_sec as f64 + at.tv_nsec as f64 / 1e9
}

fn peak_memory() -> Outcome<i64> {
	let status = std::fs::read_to_string("/proc/self/status")?;
	let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("there is no VmHWM")?;
	Ok(line.trim_end_matches("kB").trim().parse::<i64>()? * 1024)
}

/// The row groups first, first + step ...; counts rows and keeps nothing.
fn read_part(data: Bytes, metadata: ArrowReaderMetadata, first: usize, step: usize) -> Outcome<usize> {
	let groups = (first..metadata.metadata().num_row_groups()).step_by(step).collect();
	let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(data, metadata).with_row_groups(groups).with_batch_size(8192).build()?;
	let mut rows = 0;
	for batch in reader {
		rows += batch?.num_rows();
	}
	Ok(rows)
}

fn read(data: &Bytes, threads: usize) -> Outcome<usize> {
	let metadata = ArrowReaderMetadata::load(data, Default::default())?;
	if threads == 1 {
		return read_part(data.clone(), metadata, 0, 1);
	}
	std::thread::scope(|scope| {
		let workers: Vec<_> = (0..threads)
			.map(|first| {
				let (data, metadata) = (data.clone(), metadata.clone());
				scope.spawn(move || read_part(data, metadata, first, threads))
			})
			.collect();
		workers.into_iter().map(|worker| worker.join().expect("a thread died")).sum()
	})
}

fn write(batches: &[RecordBatch], codec: &str) -> Outcome<Vec<u8>> {
	let codec = match codec {
		"zstd" => Compression::ZSTD(ZstdLevel::try_new(1)?),
		"snappy" => Compression::SNAPPY,
		_ => return Err("the codec is zstd or snappy".into()),
	};
	let properties = WriterProperties::builder().set_compression(codec).set_max_row_group_row_count(Some(122880)).build();
	let mut out = Vec::new();
	let mut writer = ArrowWriter::try_new(&mut out, batches[0].schema(), Some(properties))?;
	for batch in batches {
		writer.write(batch)?;
	}
	writer.close()?;
	Ok(out)
}

fn main() -> Outcome<()> {
	let words: Vec<String> = std::env::args().collect();
	if words.len() < 5 {
		return Err("usage: parquet-rs-peer read THREADS TIMES FILE | write 1 TIMES FILE CODEC".into());
	}
	let (threads, times): (usize, usize) = (words[2].parse()?, words[3].parse()?);
	let data = Bytes::from(std::fs::read(&words[4])?);
	let (mut least, mut rows, mut size) = (f64::MAX, 0, data.len());
	if words[1] == "read" {
		for _ in 0..times {
			let start = seconds(threads);
			rows = read(&data, threads)?;
			least = least.min(seconds(threads) - start);
		}
	} else if words[1] == "write" && threads == 1 && words.len() == 6 {
		let batches = ParquetRecordBatchReaderBuilder::try_new(data)?.with_batch_size(8192).build()?.collect::<Result<Vec<_>, _>>()?;
		rows = batches.iter().map(|batch| batch.num_rows()).sum();
		for _ in 0..times {
			let start = seconds(threads);
			size = write(&batches, &words[5])?.len();
			least = least.min(seconds(threads) - start);
		}
	} else {
		return Err("parquet-rs writes record batches with one thread".into());
	}
	println!("{:.6} {} {} {}", least, rows, size, peak_memory()?);
	Ok(())
}
