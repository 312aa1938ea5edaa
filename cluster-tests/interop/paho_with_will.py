"""A client with a will, which is killed: `paho_with_will.py <version> <port> <topic>`. Says `connected` when it is."""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from paho_client import VERSIONS

version, port, topic = sys.argv[1:]
client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"mortal-{port}"[:23], protocol=VERSIONS[version])
client.will_set(topic, "gone", qos=1)
client.on_connect = lambda _c, _u, _f, _reason, _p: print("connected", flush=True)
client.connect("127.0.0.1", int(port))
client.loop_start()
threading.Event().wait()
