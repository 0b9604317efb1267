//! What a store's author gives the acceptance suite for each of its tests.

use crate::Store;
use std::sync::Arc;

/// The store under test, as the sentences share it between tasks.
pub(super) type Shared = Arc<dyn Store>;

/// A fresh, empty store for one test: a store, one in an [`Arc`], or a pair of either and what is dropped when the
/// test is over.
///
/// The second of the pair is what the store lives on: a temporary folder, a schema, a server's process. It is
/// dropped whether the test passes or fails, after the store, and inside the runtime of the test.
///
/// ```
/// use dframework_session_store::testing::{Fresh, ReferenceStore};
/// use std::sync::Arc;
///
/// struct Schema;
///
/// fn usable(_: impl Fresh) {}
/// usable(ReferenceStore::default());
/// usable(Arc::new(ReferenceStore::default()));
/// usable((ReferenceStore::default(), Schema));
/// ```
pub trait Fresh {
    /// What is dropped when the test is over.
    type Guard;

    /// The store, to be shared by the tasks of the test, and what outlives it.
    fn into_parts(self) -> (Arc<dyn Store>, Self::Guard);
}

impl<S: Store> Fresh for S {
    type Guard = ();

    fn into_parts(self) -> (Shared, ()) {
        (Arc::new(self), ())
    }
}

impl<S: Store> Fresh for Arc<S> {
    type Guard = ();

    fn into_parts(self) -> (Shared, ()) {
        (self, ())
    }
}

impl Fresh for Arc<dyn Store> {
    type Guard = ();

    fn into_parts(self) -> (Shared, ()) {
        (self, ())
    }
}

impl<F: Fresh, G> Fresh for (F, G) {
    type Guard = (F::Guard, G);

    fn into_parts(self) -> (Shared, (F::Guard, G)) {
        let (store, guard) = self.0.into_parts();
        (store, (guard, self.1))
    }
}
