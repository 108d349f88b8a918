// What a driver gets of a device.

import Bundles
import USB

extension DriverManifest {
    /// The interfaces of the function that the manifest says its driver may claim.
    func grant(for subject: MatchSubject, function: USBFunction) -> DeviceGrant {
        DeviceGrant(
            function: function, interfaces: interfaceMask(for: subject) & function.mask,
            streaming: streamingMask(for: subject) & function.mask)
    }
}
