// usbfs's numbers become errors that say what to do.
import Glibc
import Testing
import USB

@testable import USBFS

@Suite struct ErrorTests {
    @Test func timeoutsAreWholeMillisecondsAndNeverForEver() {
        #expect(Duration.zero.wholeMilliseconds == 1)
        #expect(Duration.seconds(-3).wholeMilliseconds == 1)
        #expect(Duration.microseconds(1500).wholeMilliseconds == 2)
        #expect(Duration.seconds(5).wholeMilliseconds == 5000)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
    }

    @Test(arguments: [
        (ENODEV, USBError.Code.noDevice), (ESHUTDOWN, .noDevice), (EPIPE, .stall), (ETIMEDOUT, .timedOut), (EACCES, .accessDenied),
        (EBUSY, .busy), (ENODATA, .notFound), (EINVAL, .invalidArgument), (ENOMEM, .memoryLimit), (ENOSPC, .noBandwidth), (EPROTO, .fault),
    ]) func everyErrnoHasItsCode(number: Int32, code: USBError.Code) {
        let error = USBError(usbfs: number, operation: "USBDEVFS_SUBMITURB(endpoint 1 IN)")
        #expect(error.code == code)
        #expect(error.description.hasPrefix("USBDEVFS_SUBMITURB(endpoint 1 IN): "))
    }

    @Test func aBusThatIsFullAndALimitThatIsReachedNameWhatHelps() {
        #expect(USBError(usbfs: ENOSPC, operation: "o").description.contains("smaller size"))
        #expect(USBError(usbfs: ENOMEM, operation: "o").description.contains("echo 256 > /sys/module/usbcore/parameters/usbfs_memory_mb"))
    }
}
