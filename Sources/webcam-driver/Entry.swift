// The webcam driver's process.

import UserDriver

@main
enum Entry {
    static func main() async { await DriverProcess.run(WebcamDriver.self) }
}
