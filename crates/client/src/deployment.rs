//! The deployment.

use http::{Method, StatusCode};
use usher_api_types::deployment::{
    AppearanceConfig, BuildInfoResponse, Entitlements, UpdateCheckResponse,
};

use crate::{Client, Error};

impl Client {
    /// Checks whether the service and its database respond. Fails with status 503 if they do
    /// not at the moment. Needs no token.
    pub async fn check_health(&self) -> Result<(), Error> {
        self.call_root(Method::GET, &["healthz"])?
            .run(StatusCode::OK)
            .await
    }

    /// Checks whether the service responds, without its database. Needs no token.
    pub async fn check_latency(&self) -> Result<(), Error> {
        self.call_root(Method::GET, &["latency-check"])?
            .run(StatusCode::OK)
            .await
    }

    /// Returns the version of the server. Needs no token.
    pub async fn get_build_info(&self) -> Result<BuildInfoResponse, Error> {
        self.call(Method::GET, &["buildinfo"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns whether a newer version is known. Needs no token.
    pub async fn get_update_check(&self) -> Result<UpdateCheckResponse, Error> {
        self.call(Method::GET, &["updatecheck"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns which licensed features are enabled. Needs no token.
    pub async fn get_entitlements(&self) -> Result<Entitlements, Error> {
        self.call(Method::GET, &["entitlements"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Returns the appearance of the console.
    pub async fn get_appearance(&self) -> Result<AppearanceConfig, Error> {
        self.call(Method::GET, &["appearance"])?
            .fetch(StatusCode::OK)
            .await
    }

    /// Lists the names of enabled experiments.
    pub async fn list_experiments(&self) -> Result<Vec<String>, Error> {
        self.call(Method::GET, &["experiments"])?
            .fetch(StatusCode::OK)
            .await
    }
}
