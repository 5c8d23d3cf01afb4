//! A stream that keeps the JSON lines that are written to it.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// All clones of it keep the same lines.
#[derive(Debug, Clone, Default)]
pub struct KeptLines(Arc<Mutex<Vec<u8>>>);

impl KeptLines {
    /// What was written so far.
    ///
    /// # Panics
    ///
    /// If a line is no JSON.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for KeptLines {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
