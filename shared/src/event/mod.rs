//! The MSK event, its records and the batch response.
