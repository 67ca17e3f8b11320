"""The provider `ec2`: Amazon EC2 over boto3."""
