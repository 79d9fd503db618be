//! A passcode is mailed when it is requested, not at the notifier's next poll.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use usher_tests::{deployment::Deployment, server::Setup};

/// A third of the default poll interval.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_passcode_is_mailed_without_waiting_for_a_poll() -> Result<()> {
    let mail_server = TcpListener::bind("127.0.0.1:0").await?;
    let setup = Setup::default()
        .set("EMAIL_SMARTHOST", &mail_server.local_addr()?.to_string())
        .set("EMAIL_FROM", "usher@example.com");
    let deployment = Deployment::start(setup).await?;
    // The notifier starts, and polls once, a second after the server.
    sleep(Duration::from_secs(2)).await;

    let body = json!({"email": "owner@example.com"});
    let path = "/api/v2/users/otp/request";
    let answer = deployment.anonymous("POST", path, Some(&body)).await?;

    assert_eq!(answer.status, 204);
    let mail = timeout(LIMIT, async {
        receive_mail(mail_server.accept().await?.0).await
    });
    let mail = mail.await.context("no mail arrived in time")??;
    assert!(mail.contains("To: owner <owner@example.com>"), "{mail}");
    Ok(())
}

/// Receives one mail as a minimal SMTP server.
async fn receive_mail(stream: TcpStream) -> Result<String> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail ready\r\n").await?;
    let mut mail = String::new();
    let mut is_data = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match (is_data, line.trim_end()) {
            (true, ".") => {
                stream.write_all(b"250 accepted\r\n").await?;
                return Ok(mail);
            }
            (true, _) => mail.push_str(&line),
            (false, "DATA") => {
                is_data = true;
                stream.write_all(b"354 continue\r\n").await?;
            }
            (false, _) => stream.write_all(b"250 ok\r\n").await?,
        }
    }
}
