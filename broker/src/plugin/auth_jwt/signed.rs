//! Keys and tokens for tests. Each token claims `{"sub":"s"}`; the private keys are gone.

pub(super) const RSA_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAp+P4/Py2tXxuVlkSr3F/
tpUALIw6md8q9JwwNCiAarph77KF7ac1ADE7Es8xH+yzQjV7tw7IK3YGCF3hNRY0
HuLT0M+a2MVxknJ4UCshAwDKfPuZOIMRO3yfDUO8msHIts8bhlXrbONQhYVfLk2H
WGOQbsSfxrJteWmjXT5bGsfo0utWzQA71YLopMgZCb1djH9ZdEjxEpNwgopY/0vc
+t/UlNHTQ4fxu5sTSNtoREROiBRMhRxBAdFyXduxzOMIoBvHtuOjfw2GQGsWRqaB
Be/A4gnK7GwPjU+Jr3mkK44kHQCL8H3eMqYMLGU4QHc2aADxQot77RZ1nZsRmCCC
uQIDAQAB
-----END PUBLIC KEY-----
";
pub(super) const RSA_TOKEN: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzIn0.R9m6-\
VfdXGmX1mNk7uAm5u7VNg7rkpK3opiVyCb3BM2CP5cxEZH7IzwMzWTcYgI3PmUWtiu1vDEwqmHK4Rd8u28zPxf71TXCMJPbymTqi\
NRIw65Sdvfyqs_r30g5lEMio0iVmts9orxyqtD9TTyk4-8-rqiijkJ5N7UWcZoYEz1E_WsTyYitIw1VXIvcnyY42DkM3gNsLC-HJ\
pqh579lO5pvKAZhMsUXU7RG5VVxOYLobKNc3Ki4IogDK5XhSoilbhb2E2DonpWOK6fRUE6KwffDMEdH-\
y1mylVYggCv3XQ6sh8DKbq9Vb-2PS8yRXSyuHFjpV8gR2mgrarcHDX1Og";

pub(super) const P256_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaHwgeVLEwKeX4LMIdFzG7xGCQNs7
Uu3b9Y94E5ISRuYc/bnEhVaVr/3ir51gw7Q2c6A26iFVMoZcX9po2tkkhA==
-----END PUBLIC KEY-----
";
pub(super) const P256_TOKEN: &str = "\
eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzIn0.fA_FtOU1xEyeqGGIyBSC6HOyFXkNsaRI_ocYIaXiOVqQgOs\
Mr6EITayfkMCH5rtc4kRcSI1nqryL3t3euOJvXg";

pub(super) const P384_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEAVm027r8lCL6NHiWPKQ56SID2NN5G0AL
FTrTvcBM2snTY62OqWV7UuTDlALcimhcP3tS2kzDNPeXKAf0TgNjteUzTGZyzpSI
VP0S+JuBOitKmFQ9rcryCAHL3VKnt3J6
-----END PUBLIC KEY-----
";
pub(super) const P384_TOKEN: &str = "\
eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzIn0.VzIQpg2theyq631YbOSNGCz_SnVApGNOPDQTFb1_aAXCKju\
eEjZpGU1saYLzWEfX-0h_c7gZQaXjcrHBNzL9dMhyhvLIhtXx8zLTyzAqJRImE2RAx7R-yEzn_spyECit";
