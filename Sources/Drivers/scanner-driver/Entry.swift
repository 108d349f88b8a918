// The scanner driver's process.

import ScannerDriver
import UserDriver

@main
enum Entry {
    static func main() { DriverProcess.run(ScannerDriver.self) }
}
