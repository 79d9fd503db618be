//! The deployment as a whole.

use http::{Method, StatusCode};
use usher_api_types::deployment::{
    AppearanceConfig, BuildInfoResponse, Entitlements, UpdateCheckResponse,
};

use crate::{Client, Error};

impl Client {
    /// Asks whether the service answers, its database included. An error with status 503
    /// says that it does not at the moment. Needs no token.
    pub async fn check_health(&self) -> Result<(), Error> {
        self.call_root(Method::GET, &["healthz"])?
            .run(StatusCode::OK)
            .await
    }

    /// Asks whether the service answers, without its database. Needs no token.
    pub async fn check_latency(&self) -> Result<(), Error> {
        self.call_root(Method::GET, &["latency-check"])?
            .run(StatusCode::OK)
            .await
    }

    /// Tells what is running. Needs no token.
    pub async fn get_build_info(&self) -> Result<BuildInfoResponse, Error> {
        self.call(Method::GET, &["buildinfo"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Tells whether a newer version is known. Needs no token.
    pub async fn get_update_check(&self) -> Result<UpdateCheckResponse, Error> {
        self.call(Method::GET, &["updatecheck"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Tells what a licence opens. Needs no token.
    pub async fn get_entitlements(&self) -> Result<Entitlements, Error> {
        self.call(Method::GET, &["entitlements"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Tells how the pages look.
    pub async fn get_appearance(&self) -> Result<AppearanceConfig, Error> {
        self.call(Method::GET, &["appearance"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Lists what is being tried out, by name.
    pub async fn list_experiments(&self) -> Result<Vec<String>, Error> {
        self.call(Method::GET, &["experiments"])?
            .fetch(StatusCode::OK)
            .await
    }
}
