// The webcam driver's process.

import UserDriver
import WebcamDriver

@main
enum Entry {
    static func main() { DriverProcess.run(WebcamDriver.self) }
}
