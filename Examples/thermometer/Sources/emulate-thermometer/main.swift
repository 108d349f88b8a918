// Serves the device in software over USB/IP, for `make run`.

import Glibc
import ThermometerEmulation
import USBEmulation

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 3241
let server = EmulationServer(devices: [("1-1", ThermometerDevice())], port: port)
print("usbip://127.0.0.1:\(try server.start())/1-1")
while true { pause() }
