"""Holds the data of events, one JSON object a line, against the OpenAPI document: run.sh's check of /tail."""

import json
import sys

import jsonschema_rs


def main(document_path, events_path):
    with open(document_path, encoding="utf-8") as file:
        document = json.load(file)
    stream = document["paths"]["/api/v1/tail"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    schema = {**stream["x-event-data"], "components": document["components"]}
    validator = jsonschema_rs.validator_for(schema)
    with open(events_path, encoding="utf-8") as file:
        events = [json.loads(line) for line in file if line.strip()]
    for event in events:
        validator.validate(event)
    names = {event["event"] for event in events}
    assert names == {"listening", "connected"}, names
    print(f"{len(events)} events as the document says")


if __name__ == "__main__":
    main(*sys.argv[1:])
