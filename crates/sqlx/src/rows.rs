//! What stands in the rows of a table.

use crate::{
    engine::{Engine, Row},
    failure::Failure,
    wire::Wire,
};
use dframework_session_store::{Entry, Loaded, StoreKey, Stored, Timestamp, Version};

/// A row of `load`: the columns key, version, `expires_at`, meta, payload.
pub(crate) fn loaded<E: Engine>(row: &Row<E>) -> Result<Loaded, Failure> {
    Ok(match column::<E>(row, 4)? {
        Some(payload) => Loaded::Live(stored::<E>(row, payload)?),
        None => Loaded::Ended { until: instant::<E>(row, 2)? },
    })
}

/// A row of `scan`: the same columns, of a record.
pub(crate) fn record<E: Engine>(row: &Row<E>) -> Result<Stored, Failure> {
    stored::<E>(row, bytes::<E>(row, 4)?)
}

fn stored<E: Engine>(row: &Row<E>, payload: Vec<u8>) -> Result<Stored, Failure> {
    let version = Version(number::<E>(row, 1)?);
    let mut stored = Stored::new(payload, version, instant::<E>(row, 2)?);
    stored.meta = bytes::<E>(row, 3)?;
    Ok(stored)
}

/// A row of a list: the columns key, created, `expires_at`, meta.
pub(crate) fn entry<E: Engine>(row: &Row<E>) -> Result<Entry, Failure> {
    let mut entry = Entry::new(key::<E>(row)?, instant::<E>(row, 1)?, instant::<E>(row, 2)?);
    entry.meta = bytes::<E>(row, 3)?;
    Ok(entry)
}

pub(crate) fn key<E: Engine>(row: &Row<E>) -> Result<StoreKey, Failure> {
    let key = bytes::<E>(row, 0)?.try_into();
    let key = key.map_err(|_| Failure::Unreadable("has a key of another length"))?;
    Ok(StoreKey::from_bytes(key))
}

pub(crate) fn instant<E: Engine>(row: &Row<E>, index: usize) -> Result<Timestamp, Failure> {
    number::<E>(row, index).map(Timestamp::from_millis)
}

pub(crate) fn number<E: Engine>(row: &Row<E>, index: usize) -> Result<u64, Failure> {
    let number = E::Db::number(row, index).map_err(|_| of_another_type())?;
    u64::try_from(number).map_err(|_| Failure::Unreadable("has a negative number"))
}

fn bytes<E: Engine>(row: &Row<E>, index: usize) -> Result<Vec<u8>, Failure> {
    column::<E>(row, index)?.ok_or_else(of_another_type)
}

fn column<E: Engine>(row: &Row<E>, index: usize) -> Result<Option<Vec<u8>>, Failure> {
    E::Db::bytes(row, index).map_err(|_| of_another_type())
}

fn of_another_type() -> Failure {
    Failure::Unreadable("has a value of another type")
}
