//! Routes, with their part of the OpenAPI document.
//!
//! A handler's `#[utoipa::path]` says where it is mounted, so that nothing is mounted that
//! the document does not have. To put together what else it says would take a good part of a
//! start, and few ask for it: it is made when it is wanted.

use axum::{Router, routing::MethodRouter};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::AppState;

/// Routes with the state of the API.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<AppState>,
    documents: Vec<Document>,
}

/// Makes the document of some routes.
type Document = fn() -> UtoipaMethodRouter<AppState>;

/// The handlers of one path: what [`routes!`](routes) makes.
pub(crate) struct Mounted {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter<AppState>,
    pub(crate) document: Document,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn routes(mut self, mounted: Mounted) -> Self {
        self.documents.push(mounted.document);
        Self {
            router: self.router.route(&mounted.path, mounted.methods),
            ..self
        }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.documents.extend(other.documents);
        Self {
            router: self.router.merge(other.router),
            ..self
        }
    }

    /// Changes the router, and not what the document says of it.
    pub(crate) fn with(self, change: impl FnOnce(Router<AppState>) -> Router<AppState>) -> Self {
        Self {
            router: change(self.router),
            ..self
        }
    }

    pub(crate) fn into_router(self) -> Router<AppState> {
        self.router
    }

    pub(crate) fn document(&self) -> OpenApiRouter<AppState> {
        let documents = self.documents.iter();
        documents.fold(OpenApiRouter::new(), |all, document| all.routes(document()))
    }
}

/// Handlers of one path, to be given to [`Routes::routes`].
macro_rules! routes {
    ($first:path $(, $other:path)* $(,)?) => {{
        use utoipa_axum::PathItemExt as _;
        let mut methods = axum::routing::MethodRouter::new();
        $crate::routes::routes!(@mount methods $first);
        $($crate::routes::routes!(@mount methods $other);)*
        $crate::routes::Mounted {
            path: utoipa_axum::paste! { utoipa_axum::routes!(@path [path()] of $first) },
            methods,
            document: || utoipa_axum::routes!($first $(, $other)*),
        }
    }};
    (@mount $methods:ident $handler:path) => {
        for method in utoipa_axum::paste! { utoipa_axum::routes!(@path [methods()] of $handler) } {
            $methods = $methods.on(method.to_method_filter(), $handler);
        }
    };
}

pub(crate) use routes;
