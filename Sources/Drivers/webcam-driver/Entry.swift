// The webcam driver's process.

import UserDriver

@main
enum Entry {
    static func main() { DriverProcess.run(WebcamDriver.self) }
}
