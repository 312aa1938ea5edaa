//! What operators click, and what they are told: buttons of the dashboard, findings of the doctor, verdicts
//! of access rules.

mod dashboard;
mod doctor;
mod verdicts;
